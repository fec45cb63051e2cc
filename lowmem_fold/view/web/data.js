// What the page shows, but for what is packed away.

const DATA = JSON.parse(document.getElementById("data").textContent);
