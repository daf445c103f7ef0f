// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Small values that one tab keeps from page to page, in sessionStorage; in memory where that is refused.
 *
 * @module     quizaccess_vigil/storage
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/**
 * @typedef {object} Tab
 * @property {(name: string) => any} get undefined if there is none, or it cannot be read
 * @property {(name: string, value: unknown) => void} set undefined removes it
 */

/**
 * Values under a prefix.
 *
 * @param {string} prefix
 * @param {globalThis.Storage|null} [area] default: the tab's sessionStorage
 * @returns {Tab}
 */
export const tabStorage = (prefix, area) => {
    /** @type {Map<string, string>} */
    const memory = new Map();
    let store = area;
    if (store === undefined) {
        try {
            // Reading the property alone throws where storage is blocked.
            store = window.sessionStorage;
        } catch {
            store = null;
        }
    }
    return {
        get: name => {
            let text = memory.get(prefix + name);
            try {
                text = store?.getItem(prefix + name) || text;
            } catch {
                // Refused: the memory has what this page has set.
            }
            try {
                return text ? JSON.parse(text) : undefined;
            } catch {
                return undefined;
            }
        },
        set: (name, value) => {
            const key = prefix + name;
            if (value === undefined) {
                memory.delete(key);
            } else {
                memory.set(key, JSON.stringify(value));
            }
            try {
                if (store && value === undefined) {
                    store.removeItem(key);
                } else if (store) {
                    store.setItem(key, JSON.stringify(value));
                }
            } catch {
                // Full or refused: the memory holds it as long as the page lives.
            }
        },
    };
};
