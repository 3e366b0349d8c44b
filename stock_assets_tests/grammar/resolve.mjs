// dt-sql-parser is published for bundlers: its modules import each other without endings. Node wants them.
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const isFile = (url) => statSync(fileURLToPath(url), { throwIfNoEntry: false })?.isFile() ?? false;

export function resolve(specifier, context, next) {
  if (!specifier.startsWith('.') || !context.parentURL?.startsWith('file:')) return next(specifier, context);
  const url = new URL(specifier, context.parentURL).href;
  const found = [url, `${url}.js`, `${url}/index.js`].find(isFile);
  return next(found ?? specifier, context);
}
