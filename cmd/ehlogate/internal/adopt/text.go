package adopt

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/printable"
)

// Text returns the file of the list. source is what the entries are from, for the comments.
func (l *List) Text(source string) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Imported from %s.\n", printable.Escape(source))
	for _, e := range l.Entries {
		text := e.Prefix.String()
		if e.Prefix.IsSingleIP() {
			text = e.Prefix.Addr().String()
		}
		why := ""
		if e.Exception {
			text, why = "!"+text, ", which has another result"
		}
		fmt.Fprintf(&out, "%-32s# %s:%d%s\n", text, printable.Escape(e.File), e.Line, why)
	}
	return out.Bytes()
}

// Config returns the section of the list for the config. file is the path of its file.
func (l *List) Config(file string, service lists.Service) string {
	var out strings.Builder
	out.WriteByte('\n')
	if !l.Suppress && l.Hide == lists.SilentDiscard {
		out.WriteString("# Hides nothing from its clients, nor does smtpd_discard_ehlo_keywords then.\n")
	}
	fmt.Fprintf(&out, "[[list]]\nname = %q\n", l.Name)
	if l.Suppress {
		out.WriteString("action = \"suppress\"\n")
	}
	if l.Hide != 0 {
		var names []string
		for name := range l.Hide.All() {
			names = append(names, strconv.Quote(name))
		}
		fmt.Fprintf(&out, "hide = [%s]\n", strings.Join(names, ", "))
	}
	if service != lists.SMTP {
		fmt.Fprintf(&out, "services = [%q]\n", service)
	}
	if l.Wide {
		out.WriteString("allow_wide = true\n")
	}
	fmt.Fprintf(&out, "files = [%q]\n", file)
	return out.String()
}
