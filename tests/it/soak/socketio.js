// Prints what the official client of Socket.IO hears: a line of JSON for each event.
const { io } = require('socket.io-client');

const [url, token, transport] = process.argv.slice(2);
const say = (...line) => console.log(JSON.stringify(line));
const socket = io(url, { transports: [transport], auth: { token, topics: ['customers'] } });
socket.on('connect', () => say('connect', socket.io.engine.transport.name));
socket.on('connect_error', (error) => say('connect_error', error.message));
socket.on('disconnect', (reason) => {
  say('disconnect', reason);
  process.exit();
});
socket.onAny((event, told) => say(event, told));
