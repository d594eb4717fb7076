import { cookies, headers } from "next/headers";
import { redirect } from "next/navigation";
import Ready from "./ready";

async function save(form) {
  "use server";
  (await cookies()).set("word", form.get("word"));
  redirect("/saved");
}

export default async function Page() {
  const fields = await headers();
  return (
    <main>
      <h1>Cold</h1>
      <form action={save}>
        <input name="word" />
        <button>Save</button>
      </form>
      <p id="address">{`${fields.get("x-forwarded-proto")}://${fields.get("x-forwarded-host")}`}</p>
      <Ready />
    </main>
  );
}
