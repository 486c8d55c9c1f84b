import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { openPage } from "../testing.js";
import { css, h, target } from "./dom.js";

beforeEach(() => openPage());

test("what people typed stays text", () => {
  const made = h("p", { title: '"><b>' }, "<img src=x onerror=alert(1)>", h("b", {}, "&amp;"));
  assert.equal(made.querySelector("img"), null);
  assert.equal(made.textContent, "<img src=x onerror=alert(1)>&amp;");
  assert.equal(made.getAttribute("title"), '"><b>');
});

test("attributes that are off are left out, and those that are on have no value", () => {
  const made = h("button", { hidden: true, title: null, lang: undefined, draggable: false, "aria-label": "" });
  assert.deepEqual(made.getAttributeNames(), ["hidden", "aria-label"]);
  assert.equal(made.getAttribute("hidden"), "");
});

test("listeners, values and states are set as properties", () => {
  let heard = 0;
  const made = h("input", { type: "checkbox", checked: true, disabled: true, value: "a", onclick: () => heard++ });
  made.disabled = false;
  made.dispatchEvent(new MouseEvent("click"));
  assert.equal(heard, 1);
  assert.equal(made.value, "a");
});

test("children may be lists with gaps", () => {
  const made = h("ul", {}, [h("li", {}, "1"), null], undefined, "2");
  assert.equal(made.outerHTML, "<ul><li>1</li>2</ul>");
});

test("a custom property of the style sheet is read from the body", () => {
  document.body.style.setProperty("--lane-1", " #123456 ");
  assert.equal(css("--lane-1"), "#123456");
});

test("an event has a target to look around from only where that is an element", () => {
  const heard = [];
  document.addEventListener("click", (event) => heard.push(target(event)?.tagName ?? null));
  document.body.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  document.dispatchEvent(new MouseEvent("click"));
  assert.deepEqual(heard, ["BODY", null]);
});
