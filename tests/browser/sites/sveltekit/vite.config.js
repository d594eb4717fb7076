import adapter from "@sveltejs/adapter-node";
import { sveltekit } from "@sveltejs/kit/vite";

const { BASE, ORIGIN, OUT } = process.env;

export default { plugins: [sveltekit({ adapter: adapter({ out: OUT }), paths: { base: BASE, origin: ORIGIN } })] };
