import { cookies } from "next/headers";

export default async function Saved() {
  return <p id="word">{(await cookies()).get("word")?.value}</p>;
}
