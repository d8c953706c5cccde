/* Copyright (c) 2026 xensec.hardening maintainers
   SPDX-License-Identifier: GPL-3.0-or-later */
"use strict";
(() => {
  const rows = [...document.querySelectorAll("#grid .row")];
  const findings = [...document.querySelectorAll(".finding")];
  const lines = [...document.querySelectorAll(".list tbody tr")];
  const columns = [...document.querySelectorAll("#grid thead .col")];
  const text = new Map([...rows, ...findings, ...lines].map((item) => [item, item.textContent.toLowerCase()]));
  const field = document.getElementById("filter");
  const only = document.getElementById("only");

  // A word that names hosts leaves their columns; any other leaves the rows it is in.
  const apply = () => {
    const word = field.value.trim().toLowerCase();
    const named = columns.map((column) => word !== "" && column.textContent.toLowerCase().includes(word));
    const byHost = named.includes(true);
    rows.forEach((row) => {
      const away = (only.checked && !row.classList.contains("found")) || (!byHost && !text.get(row).includes(word));
      row.classList.toggle("away-by-filter", away);
      named.forEach((hit, index) => row.cells[index + 2].classList.toggle("away-by-filter", byHost && !hit));
    });
    columns.forEach((column, index) => column.classList.toggle("away-by-filter", byHost && !named[index]));
    [...findings, ...lines].forEach((item) => item.classList.toggle("away-by-filter", !text.get(item).includes(word)));
  };
  document.querySelectorAll(".filter").forEach((label) => { label.hidden = false; });
  field.addEventListener("input", apply);
  only.addEventListener("change", apply);

  // In a grid of many hosts a cell says what it is when it is pointed at.
  const grid = document.getElementById("grid");
  grid.addEventListener("mouseover", (event) => {
    const cell = event.target.closest("tbody .row td:not(.sum)");
    if (cell && !cell.title) {
      const row = cell.parentElement;
      cell.title = `${columns[cell.cellIndex - 2].textContent.trim()}: ${cell.className.replace("_", " ")}\n${row.cells[0].textContent.trim()}`;
    }
  });

  // A link to what is folded away opens it.
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    for (let item = target; item; item = item.parentElement) {
      if (item.tagName === "DETAILS") { item.open = true; }
    }
    if (target) { target.scrollIntoView(); }
  };
  window.addEventListener("hashchange", reveal);
  if (location.hash) { reveal(); }
})();
