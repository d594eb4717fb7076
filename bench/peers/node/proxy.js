// http-proxy-middleware as a preview proxy uses it: the target looked up by the session id in the path, the prefix stripped,
// WebSockets on. node proxy.js LISTEN_PORT ROUTES keep-alive|close
const express = require('express');
const http = require('http');
const { createProxyMiddleware } = require('http-proxy-middleware');

const [listen, routes, connections] = process.argv.slice(2);
const registry = new Map(Object.entries(JSON.parse(routes)));
const app = express();
const proxy = createProxyMiddleware({
  target: 'http://127.0.0.1:1',
  changeOrigin: true,
  ws: true,
  agent: connections === 'keep-alive' ? new http.Agent({ keepAlive: true }) : undefined,
  router: async (req) => {
    const session = /^\/previews\/([A-Za-z0-9_-]{1,64})/.exec(req.originalUrl)[1];
    return `http://127.0.0.1:${registry.get(session)}`;
  },
  pathRewrite: (path) => path.replace(/^\/previews\/[A-Za-z0-9_-]{1,64}/, ''),
});
app.use((req, res, next) => (req.url.startsWith('/previews/') ? proxy(req, res, next) : next()));
app.listen({ port: Number(listen), host: '127.0.0.1', backlog: 8192 });
