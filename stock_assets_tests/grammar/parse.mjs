// Reads a JSON list of {"dialect": "trino" | "hive", "text": ...}; writes the list of what each grammar objects to.
import { register } from 'node:module';
import { text } from 'node:stream/consumers';

register('./resolve.mjs', import.meta.url);
const { HiveSQL, TrinoSQL } = await import('dt-sql-parser');

const parsers = { hive: new HiveSQL(), trino: new TrinoSQL() };
const statements = JSON.parse(await text(process.stdin));
const objections = statements.map(({ dialect, text: sql }) =>
  parsers[dialect].validate(sql).map((error) => `line ${error.startLine}, column ${error.startColumn}: ${error.message}`),
);
process.stdout.write(JSON.stringify(objections));
