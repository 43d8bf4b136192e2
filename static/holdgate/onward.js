/* Posts the answer of an identity provider once more, from our own page. Without this file one presses the button. */

"use strict";

document.getElementById("onward").submit();
