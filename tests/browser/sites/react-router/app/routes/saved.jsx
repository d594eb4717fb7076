export function loader({ request }) {
  return { word: /word=([^;]*)/.exec(request.headers.get("Cookie"))?.[1] };
}

export default function Saved({ loaderData }) {
  return <p id="word">{loaderData.word}</p>;
}
