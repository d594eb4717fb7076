import { useEffect, useState } from "react";
import { Form, redirect } from "react-router";

export function loader({ request }) {
  return { address: new URL(request.url).host };
}

export async function action({ request }) {
  const word = (await request.formData()).get("word");
  return redirect("/saved", { headers: { "Set-Cookie": `word=${word}; Path=/; HttpOnly` } });
}

export default function Home({ loaderData }) {
  const [ready, setReady] = useState("");
  useEffect(() => setReady("yes"), []);
  return (
    <main>
      <h1>Cold</h1>
      <Form method="post">
        <input name="word" />
        <button>Save</button>
      </Form>
      <p id="address">{loaderData.address}</p>
      <p id="ready">{ready}</p>
    </main>
  );
}
