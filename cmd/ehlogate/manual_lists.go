package main

import (
	"strings"

	"github.com/spf13/cobra"

	"ehlogate/lists/feed"
)

// newListsTopic is "ehlogate help lists".
func newListsTopic() *cobra.Command {
	return &cobra.Command{Use: "lists", Short: "What stands in list files, and which entry decides", Long: listsText}
}

// listsPage is ehlogate.list(5).
func listsPage() string {
	p := newPage("ehlogate.list", 5, "lists of SMTP clients for ehlogate")
	p.heading("##", "DESCRIPTION")
	p.text(listsText)
	p.seeAlso("ehlogate(8)", "ehlogate.toml(5)")
	return p.String()
}

var listsText = ownLists + `

FEEDS

A list that others make, or another program keeps, is read as it is if the
config names its format = "...". What such a file says is understood exactly or
is an error with its place. With min_entries = N in the config a file that was
cut short is refused; with expire_after = "3d" the list counts as not loaded when
its files are older than that.

` + formats()

// formats lists the formats, in lines that fit.
func formats() string {
	var out []string
	for line := range strings.Lines(feed.FormatHelp()) {
		name, help, _ := strings.Cut(line, " ")
		out = append(out, "    "+name)
		for help := strings.Fields(help); len(help) > 0; {
			text := "       "
			for len(help) > 0 && len(text)+1+len(help[0]) <= 80 {
				text, help = text+" "+help[0], help[1:]
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, "\n")
}

const ownLists = `A list file is plain text, edited by hand, with one entry a line. The config
names the files of each list and says what is done with the clients on it.

    # a comment
    192.0.2.7                      # an address; this text is its note
    192.0.2.0/24                   # a network
    192.0.2.10-192.0.2.20          # a range, with both its ends
    !192.0.2.13                    # a hole: this list does not hold it
    2001:db8::/32                  # IPv6 likewise
    mail.example.org               # a verified host name
    .example.net                   # every verified host name below it
    helo:ylmf-pc                   # a HELO name
    helo:*.dyn.example             # every HELO name below it
    198.51.100.4 until=2026-12-01  # ends by itself

ENTRIES

An entry is one condition: a client is on the list if any of its entries holds
for it, and no hole does. What stands behind # is a note; "ehlogate explain"
shows it, so say there why the entry exists.

An address is that of the client. An IPv4 address that is written as an IPv6
one, as ::ffff:192.0.2.7, is the IPv4 address.

A host name is a verified one: the name of the address leads back to the
address. Names count where the mail server passes them on; Postfix asks its
EHLO map by address only. With verify_names = true in [dns] the daemon finds
them out itself.

A HELO name is what the client claims, and anybody may claim anything. So it
stands in lists with action = "suppress" only, and never as a hole.

With until=DATE an entry, or a hole, counts until the end of that day in UTC.
An RFC 3339 time, as until=2026-12-01T18:00:00+01:00, is the first moment at
which it no longer counts.

WHICH ENTRY DECIDES

Lists are asked in the order of the config. The first that holds the client
decides by its action: "offer"; "suppress"; or "require", where STARTTLS is
offered, and policy and milter refuse mail without TLS. Lists with action =
"require" hold addresses only. If no list holds the client, the default of the
config decides.

Within a list, the smallest network or range that holds an address wins, and
the longest name that holds a name. Of two that are equal a hole wins, else the
later line. If a hole wins, for the address or for a name, this list does not
hold the client, whatever else in it matches, and the next list is asked.

A list with mode = "observe" logs what it would have done, and the next list is
asked.

ERRORS

Everything wrong is an error with its place, and nothing is skipped: a word that
is not known, an address with bits set behind its prefix (192.0.2.5/24), an
entry that the action of the list does not allow. In lists that suppress or
require, a network wider than a /8, or an IPv6 /19, and a whole top-level domain
are errors, too, unless the config has allow_wide = true for the list.

A file with an error is not taken: the list stays as it was, and the log and
/healthz say so. "ehlogate check" says it before. A list that was never loaded
is not taken for an empty one: if it suppresses it is skipped, and if not, it
might have held the client, so STARTTLS is offered.

CHANGES

Files are followed while the daemon runs. One that is moved over the old file
takes effect within half a second as a rule; one that is written in place when
it has not changed for a second, or after ten if it never stops changing. Edits
of several lists take effect in the order in which they were made, as one state.
A file that has neither an entry nor a comment, or whose last line has no end,
is taken for a half-finished write and refused. A file of comments is an empty
list. A file that cannot be read (no descriptor left, an I/O error, no
permission) is tried again until it can be.`
