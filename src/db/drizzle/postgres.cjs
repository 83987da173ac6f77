module.exports = require("./tables.cjs")("postgres");
