// SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

/**
 * Makes elements. Text is always text: nothing is ever parsed as HTML.
 *
 * @module     quizaccess_vigil/dom
 * @copyright  2026 The Vigil authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later, or Apache-2.0
 */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {{[name: string]: string|boolean|undefined|((event: any) => void)}} [attributes] functions are listeners; true is an
 *     empty attribute, false and undefined none
 * @param {...(Node|string|null)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    Object.keys(attributes).forEach(name => {
        const value = attributes[name];
        if (typeof value === 'function') {
            element.addEventListener(name, value);
        } else if (value === true) {
            element.setAttribute(name, '');
        } else if (typeof value === 'string') {
            element.setAttribute(name, value);
        }
    });
    children.forEach(child => {
        if (child !== null) {
            element.append(child);
        }
    });
    return element;
};
