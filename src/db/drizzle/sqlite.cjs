module.exports = require("./tables.cjs")("sqlite");
