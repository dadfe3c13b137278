// Parses Adaptive Cards, one JSON document a line on standard input, with Microsoft's own library, whose folder is the
// argument. Says what the library finds wrong, and exits with 1 then.
const library = require(require('path').resolve(process.argv[2], 'dist/adaptivecards.js'));
const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter((line) => line);
let wrong = 0;
for (const line of lines) {
  const context = new library.SerializationContext(library.Versions.v1_4);
  const card = new library.AdaptiveCard();
  card.parse(JSON.parse(line), context);
  const said = [];
  for (let at = 0; at < context.eventCount; at++) said.push(context.getEventAt(at).message);
  for (const event of card.validateProperties().validationEvents) said.push(event.message);
  for (const message of said) console.log(message);
  wrong += said.length;
}
console.log(`${lines.length} cards, ${wrong} errors`);
process.exit(wrong || !lines.length ? 1 : 0);
