package feed

import (
	"fmt"
	"net/netip"
	"strings"

	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
)

// readSendmail reads the source of Sendmail's access map (cf/README, "Access Database"): the rules for clients, with the
// tag Connect: or none. Other tags are about other things.
//
// As in Postfix a domain matches all names below. IPv6 addresses are IPv6: and groups, none left out. SKIP is an error to
// Sendmail there, so it refuses the client.
func (a *access) readSendmail() {
	var untagged keptLines  // a rule with a tag overrides one without, wherever it is
	var other *diag.Problem // of the first line that is not about clients
	isAbout := false        // a line is about clients
	for a.Next() {
		w := nextWord(a.Text, 0, blanks)
		switch {
		case w.text == "" || w.text[0] == '#' && w.at == 0:
			continue
		case w.at > 0:
			a.SkipLine(0, w.at, "blank before the key, which makemap does not take", "remove it")
			continue
		}
		result := restOfLine(a.Text, w.endOffset())
		if result.text == "" {
			skipAt(a.Lines, w, "missing result after the key", "write KEY RESULT, as in Connect:192.0.2 REJECT")
			continue
		}
		tag, key, isTagged := cutTag(w)
		switch {
		case tag == "connect":
			isAbout = true
			a.finishSendmail(key, result)
		case !isTagged && !strings.Contains(key.text, "@"):
			isAbout = true
			untagged.add(a.Line, a.Text)
		case other == nil:
			other = &diag.Problem{File: a.Name, Line: a.Line, Col: 1, Width: len(w.text), Text: string(a.Text), Msg: "no line of the file is about clients, as those with the tag Connect: or with none are",
				Hint: "of lines that \"ehlogate export\" wrote (Srv_Features:), name the list files that they were made of; see whether it is the right file"}
		}
	}
	if other != nil && !isAbout {
		a.Problems.Add(*other)
	}
	last, text := a.Line, a.Text
	untagged.each(func(line int, text []byte) {
		a.Line, a.Text = line, text
		key := nextWord(text, 0, blanks)
		a.finishSendmail(key, restOfLine(text, key.endOffset()))
	})
	a.Line, a.Text = last, text
	a.checkCounted()
}

// finishSendmail yields the entry of a rule in the present line.
func (a *access) finishSendmail(key, result word) {
	if it, ok := parseSendmailKey(a.Lines, key); ok {
		a.rule = logicalLine{item: it, pattern: key, result: result, line: a.Line, at: a.Line}
		a.yieldRule(&a.rule, a.judge(result))
	}
}

// cutTag splits a key at its tag, which is returned in lower case.
func cutTag(w word) (tag string, key word, isTagged bool) {
	tag, _, isTagged = strings.Cut(w.text, ":")
	tag = strings.ToLower(tag)
	if !isTagged || tag == "ipv6" || strings.Trim(tag, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "", w, false
	}
	return tag, w.withoutFirst(len(tag) + 1), true
}

// parseSendmailKey returns the entry of a key for clients. Sendmail takes any key; one that never matches is skipped.
func parseSendmailKey(l *listfile.Lines, key word) (it listfile.Item, ok bool) {
	const never = "%q never matches a client"
	skip := func(msg, hint string) (none listfile.Item, ok bool) { skipAt(l, key, msg, hint); return none, false }
	switch rest, isIPv6 := cutPrefixFold(key.text, "ipv6:"); {
	case key.text == "":
		return skip("missing key after the tag", "write an address, its first octets, or a host name")
	case isIPv6:
		groups := strings.Split(rest, ":")
		addr, err := netip.ParseAddr(rest + strings.Repeat(":0", max(0, 8-len(groups))))
		normal := strings.Split(addr.StringExpanded(), ":")
		for i, g := range groups {
			if err != nil || addr.Is4In6() || !strings.EqualFold(g, strings.TrimLeft(normal[i][:3], "0")+normal[i][3:]) {
				return skip(fmt.Sprintf(never, key.text), "write IPv6: and groups without leading zeros and without ::, as in IPv6:2001:db8:0:1")
			}
		}
		return *newPrefix(key, netip.PrefixFrom(addr, 16*len(groups))), true
	case strings.Trim(key.text, "0123456789.") == "":
		return parseAccessIPv4(key, skip)
	case strings.ContainsAny(key.text, "/[:") || key.text[0] == '.' || strings.HasSuffix(key.text, "."):
		return skip(fmt.Sprintf(never, key.text), "write an address, its first octets as in 192.0.2, IPv6: and groups, or a host name; a domain matches all names below")
	}
	name, err := listfile.ParseHostName(key.text)
	if err != nil {
		skipSyntax(l, key, err, "")
		return it, false
	}
	return *newDomain(key, name), true
}

func cutPrefixFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
