// drizzle-kit takes what a module exports, so the list of schema.ts is exported here in one engine's dialect.
const { tables } = require("../../schema.ts");
const { tableIn } = require("../dialect.ts");

module.exports = (engine) => Object.fromEntries(tables.map((define, n) => [`table${n}`, tableIn(engine)(define)]));
