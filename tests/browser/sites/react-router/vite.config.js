import { reactRouter } from "@react-router/dev/vite";

export default { base: process.env.BASE, plugins: [reactRouter()] };
