// Elements, colours of the style sheet, and downloads made in the browser.
// Typed text is always set with textContent (h() below), never as markup.

/**
 * An element with attributes and children; strings become text, never markup.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} attributes - `onclick` and similar ones are listeners; null, undefined and false are left out.
 * @param {...any} children - nodes, strings, or lists of them; null and undefined are left out.
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "disabled" || name === "checked") Object.assign(element, { [name]: value });
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * The target of an event; null if it is not an element.
 * @param {Event} event
 * @returns {Element | null}
 */
export const target = (event) => (event.target instanceof Element ? event.target : null);

/**
 * The value of a custom property of the style sheet, such as a colour.
 * @param {string} name
 * @returns {string}
 */
export const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

/**
 * Download a file that was made here.
 * @param {string} name
 * @param {string} text
 * @param {string} type - its media type.
 */
export function save(name, text, type = "text/csv;charset=utf-8") {
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
