// An echo server on npm's ws: compresses when it is asked to, chooses the first subprotocol, answers a Close with its own.
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({ port: 3000, perMessageDeflate: { threshold: 0 } });
server.on("connection", (socket, request) => {
  socket.on("message", (data, isBinary) => {
    const text = data.toString();
    if (!isBinary && text.startsWith("close ")) socket.close(Number(text.slice(6)), "asked for");
    else if (!isBinary && text === "terminate") socket.terminate();
    else if (!isBinary && text === "url") socket.send(request.url);
    else socket.send(data, { binary: isBinary });
  });
});
