package page

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ehlogate/lists/test/hostile"
)

// markup is what a client could claim to be, so that a browser runs it.
var markup = []string{
	`<script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `"><svg onload=alert(1)>`, `</style><script>alert(1)</script>`, `</title><script>alert(1)</script>`,
	`javascript:alert(1)`, `<!--`, `]]>`, `&lt;script&gt;`, `<base href=//evil.example>`, `</table></div><h1>All is well</h1>`, `' onfocus=alert(1) autofocus='`,
}

// writeHostile writes what others can make the daemon show, wherever the page shows it: lines of the log of the mail server,
// notes of list files, mistakes in them, and the journal of edits.
func (d *daemon) writeHostile() {
	d.Helper()
	texts := append(append([]string{}, markup...), hostile.Texts...)
	var notes, journal strings.Builder
	for i, text := range slices.Backward(texts) { // the longest first: of the journal only the end is read
		if len(text) < 2000 && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl) { // others are no text of a list file
			fmt.Fprintf(&notes, "203.0.113.66  # %s\n", text)
		}
		text, err := json.Marshal(text)
		if err != nil {
			d.Fatal(err)
		}
		fmt.Fprintf(&journal, `{"number":%d,"time":%q,"user":%s,"command":%s,"list":%s,"file":%s,"reason":%s,"hunks":[{"line":%d,"before":[%s],"after":[%s]}]}`+"\n",
			len(texts)-i, time.Now().Add(-time.Duration(i)*time.Minute).Format(time.RFC3339), text, text, text, text, text, i, text, text)
	}
	d.write("edits.jsonl", journal.String()+"no JSON\n{}\n[1]\n"+`{"number":1,"time":"2026-01-01T00:00:00Z","hunks":"none"}`+"\n")
	d.write("deny.list", notes.String()+"203.0.113.66  # \u202e"+strings.Join(markup, " ")+"\n")
	d.write("printers.list", "192.0.2.7"+markup[0]+"\n")
	at := time.Now().Add(-2 * time.Hour)
	var log strings.Builder
	for i, text := range texts {
		stamp := at.Add(time.Duration(i) * time.Second).UTC().Format("2006-01-02T15:04:05-07:00")
		for _, line := range []string{"connect from CLIENT", "SSL_accept error from CLIENT: -1",
			"warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/x.c:1:" + text, "lost connection after STARTTLS from CLIENT",
			"disconnect from CLIENT ehlo=1 starttls=0/1 commands=1/2"} {
			fmt.Fprintf(&log, "%s mx postfix/smtpd[%d]: %s\n", stamp, 100+i, strings.ReplaceAll(line, "CLIENT", fmt.Sprintf("%.60s[203.0.113.66]", strings.ReplaceAll(text, "[", ""))))
		}
	}
	fmt.Fprintf(&log, "%s mx postfix/smtpd[3]: connect from unknown[198.51.100.9]\n", at.Add(time.Hour).UTC().Format("2006-01-02T15:04:05-07:00"))
	f, err := os.OpenFile(filepath.Join(d.dir, "mail.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		d.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(log.String()); err != nil {
		d.Fatal(err)
	}
	d.await("/", "203.0.113.66")
	d.await("/", "192.0.2.7&lt;script")
	d.await("/?client=203.0.113.66", "203.0.113.66: suppress")
}
