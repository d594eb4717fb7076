// node's http-proxy, which http-proxy-middleware stands on, by itself: node sockets.js LISTEN_PORT ROUTES
const http = require('http');
const httpProxy = require('http-proxy');

const [listen, routes] = process.argv.slice(2);
const registry = JSON.parse(routes);
const proxy = httpProxy.createProxyServer({ ws: true });
const target = (request) => {
  const [, , session, ...rest] = request.url.split('/');
  request.url = `/${rest.join('/')}`;
  return { target: { host: '127.0.0.1', port: registry[session] } };
};
proxy.on('error', () => {});
http.createServer((request, response) => proxy.web(request, response, target(request)))
  .on('upgrade', (request, socket, head) => proxy.ws(request, socket, head, target(request)))
  .listen({ port: Number(listen), host: '127.0.0.1', backlog: 8192 });
