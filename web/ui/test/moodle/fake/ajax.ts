// Answers external functions as a test says.
type Args = Record<string, unknown>;
type Handler = (args: Args) => unknown;

export const handlers = new Map<string, Handler>();
export const calls: { name: string; args: Args; noSessionUpdate?: boolean }[] = [];

export function call(
  requests: { methodname: string; args: Args }[],
  _async?: boolean,
  _login?: boolean,
  noSessionUpdate?: boolean,
) {
  return requests.map(({ methodname, args }) => {
    calls.push({ name: methodname, args, noSessionUpdate });
    const handler = handlers.get(methodname);
    return Promise.resolve().then(() => {
      if (!handler) throw new Error(`no handler for ${methodname}`);
      return handler(args);
    });
  });
}
