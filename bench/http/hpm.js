// http-proxy-middleware as a preview proxy uses it: the target looked up by the session id in the path, the prefix
// stripped, WebSockets on, a keep-alive agent. node hpm.js LISTEN_PORT BACKEND_PORT
const express = require('express');
const http = require('http');
const { createProxyMiddleware } = require('http-proxy-middleware');

const [listen, backend] = process.argv.slice(2).map(Number);
const registry = new Map([['bench', { address: '127.0.0.1', port: backend }]]);
const app = express();
const proxy = createProxyMiddleware({
  target: 'http://127.0.0.1:1',
  changeOrigin: true,
  ws: true,
  agent: new http.Agent({ keepAlive: true, maxSockets: 256 }),
  router: async (req) => {
    const { address, port } = registry.get(/^\/previews\/([A-Za-z0-9_-]{1,64})/.exec(req.originalUrl)[1]);
    return `http://${address}:${port}`;
  },
  pathRewrite: (path) => path.replace(/^\/previews\/[A-Za-z0-9_-]{1,64}/, ''),
});
app.use((req, res, next) => (req.url.startsWith('/previews/') ? proxy(req, res, next) : next()));
app.listen(listen, '127.0.0.1');
