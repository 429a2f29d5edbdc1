// What moves in the console beside htmx: dialogs, copying, menus, and the upload of a file. All of it hangs on data-
// attributes, which parts.html writes, and on the document, so that what htmx swaps in works at once.
(() => {
  "use strict";

  const say = (text) => {
    const place = document.getElementById("said");
    place.textContent = "";
    setTimeout(() => { place.textContent = text; }, 50); // a region that was empty is read out anew
  };

  // Dialogs: data-opens="id", data-closes, and data-must-equal on the field of a typed confirmation.

  const open = (dialog) => {
    for (const field of dialog.querySelectorAll("[data-must-equal]")) {
      field.value = "";
      guard(field);
    }
    dialog.showModal();
  };

  const guard = (field) => {
    const yes = field.form.querySelector("[data-yes]");
    yes.disabled = field.value.trim() !== field.dataset.mustEqual.trim();
  };

  // Copying: data-copies="text". The clipboard proper needs https; without it, the old way.

  const copy = async (text, near) => {
    if (navigator.clipboard && window.isSecureContext) {
      await navigator.clipboard.writeText(text);
      return;
    }
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen";
    near.after(field); // in the same dialog, or the dialog would not let it be selected
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    near.focus();
    if (!done) throw new Error("not copied");
  };

  const copied = async (button) => {
    const label = button.querySelector("span");
    const before = button.dataset.label ?? label.textContent;
    button.dataset.label = before;
    try {
      await copy(button.dataset.copies, button);
      label.textContent = "Copied";
      say("Copied");
    } catch {
      label.textContent = "Not copied";
      say("Copying did not work. Select the text and copy it by keyboard.");
    }
    setTimeout(() => { label.textContent = before; }, 2000);
  };

  // Uploads: <form data-upload action="…"> with a drop zone and a progress part. XMLHttpRequest, since fetch tells
  // nothing of how far a body is. It speaks as htmx does: a redirect comes in HX-Redirect, anything else is swapped
  // into what HX-Retarget or the form's data-target names.

  const sized = (bytes) => {
    const units = ["bytes", "kB", "MB", "GB", "TB"];
    let unit = 0;
    while (bytes >= 1000 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
    return `${unit && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
  };

  const choose = (zone) => {
    const file = zone.querySelector("input[type=file]").files[0];
    zone.querySelector("[data-chosen]").textContent = file ? `${file.name} (${sized(file.size)})` : "";
  };

  const upload = (form) => {
    const request = new XMLHttpRequest();
    const part = form.querySelector("[data-progress]");
    const bar = part.querySelector("progress");
    const stage = part.querySelector("[data-stage]");
    const buttons = form.querySelectorAll("button");
    const busy = (is) => {
      part.hidden = !is;
      form.ariaBusy = String(is);
      for (const button of buttons) button.disabled = is;
      for (const zone of form.querySelectorAll("[data-drop] input")) zone.disabled = is;
    };
    const body = new FormData(form); // before the fields are disabled: a disabled field is not sent
    let told = -1;
    bar.value = 0;
    stage.textContent = "Uploading…";
    busy(true);
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      bar.value = (100 * event.loaded) / event.total;
      const tenth = Math.floor(bar.value / 10);
      if (tenth === told) return; // a screen reader need not hear of every packet
      told = tenth;
      stage.textContent = `Uploading: ${sized(event.loaded)} of ${sized(event.total)}`;
    });
    request.upload.addEventListener("load", () => {
      bar.removeAttribute("value");
      stage.textContent = "Uploaded. Reading and judging every row…";
    });
    request.addEventListener("load", () => answered(form, request, busy));
    request.addEventListener("error", () => {
      busy(false);
      notify("The connection broke off before the file was through. Send it again.");
    });
    request.open("POST", form.action);
    request.setRequestHeader("X-CSRF-Token", document.body.dataset.csrf ?? "");
    request.setRequestHeader("HX-Request", "true");
    request.setRequestHeader("HX-Current-URL", location.href);
    request.send(body);
  };

  const answered = (form, request, busy) => {
    const to = request.getResponseHeader("HX-Redirect");
    if (to) {
      location.assign(to);
      return;
    }
    busy(false);
    const target = document.querySelector(request.getResponseHeader("HX-Retarget") ?? form.dataset.target ?? "#notices");
    target.innerHTML = request.responseText;
    window.htmx?.process(target);
    target.querySelector("[autofocus]")?.focus();
  };

  const notify = (text) => {
    const place = document.getElementById("notices");
    const notice = document.createElement("div");
    notice.className = "notice bad";
    const words = document.createElement("p");
    words.textContent = text;
    notice.append(document.createElement("span"), words);
    place.replaceChildren(notice);
  };

  // What the document hears.

  document.addEventListener("click", (event) => {
    const hit = (selector) => event.target.closest?.(selector);
    const opener = hit("[data-opens]");
    if (opener) open(document.getElementById(opener.dataset.opens));
    if (hit("[data-closes]") || event.target.matches?.("dialog")) event.target.closest("dialog").close();
    if (hit("[data-copies]")) copied(hit("[data-copies]"));
    if (hit("[data-dismisses]")) hit(".notice").remove();
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const menu = document.querySelector("details[data-menu][open]");
      if (menu) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
    }
    if (event.key === "k" && (event.ctrlKey || event.metaKey)) {
      const search = document.querySelector("[data-search]");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
  });

  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-must-equal]")) guard(event.target);
  });

  document.addEventListener("change", (event) => {
    const zone = event.target.closest("[data-drop]");
    if (zone) choose(zone);
  });

  document.addEventListener("submit", (event) => {
    if (event.target.matches("form[data-upload]")) {
      event.preventDefault();
      upload(event.target);
    }
  });

  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      const zone = event.target.closest?.("[data-drop]");
      if (!zone) return;
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragover");
      if (kind !== "drop") return;
      zone.querySelector("input[type=file]").files = event.dataTransfer.files;
      choose(zone);
    });
  }

  // On a narrow screen the navigation scrolls sideways; where one is should be in sight.

  document.querySelector("nav [aria-current=page]")?.scrollIntoView({ block: "nearest", inline: "center" });

  // htmx: a connection that broke must not look like a click that did nothing.

  document.addEventListener("htmx:sendError", () => notify("The server cannot be reached. Check your connection."));
  document.addEventListener("htmx:timeout", () => notify("The server took too long. Try again."));
})();
