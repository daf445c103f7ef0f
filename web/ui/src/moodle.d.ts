// Moodle's own modules, as far as the plugin's use them. Outside Moodle they do not exist.

declare module "core/ajax" {
  export function call(
    requests: { methodname: string; args: object }[],
    async?: boolean,
    loginRequired?: boolean,
    noSessionUpdate?: boolean,
  ): PromiseLike<unknown>[];
}

declare module "core/str" {
  export function getStrings(requests: { key: string; component: string; param?: object }[]): Promise<string[]>;
}

declare module "core_form/changechecker" {
  export function disableAllChecks(): void;
}

declare module "*?raw" {
  const text: string;
  export default text;
}
