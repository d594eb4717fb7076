export const load = ({ cookies }) => ({ word: cookies.get("word") });
