// node http-proxy as http-proxy-middleware uses it: node http_proxy.js LISTEN_PORT BACKEND_PORT
const http = require("http");
const httpProxy = require("http-proxy");

const [listen, backend] = process.argv.slice(2).map(Number);
const proxy = httpProxy.createProxyServer({ target: { host: "127.0.0.1", port: backend }, ws: true });
proxy.on("error", () => {});
http.createServer((request, response) => proxy.web(request, response))
  .on("upgrade", (request, socket, head) => proxy.ws(request, socket, head))
  .listen({ port: listen, host: "127.0.0.1", backlog: 8192 });
