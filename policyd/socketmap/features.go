package socketmap

import (
	"ehlogate/lists"
	"ehlogate/policyd"
)

// lookupMap is what a map is about, and what it answers.
type lookupMap struct {
	service lists.Service
	answer  answer
}

type answer uint8

const (
	keywords answer = iota // EHLO keywords, for Postfix
	features               // letters of srv_features, for Sendmail
	profile                // the TLS profile
)

func parseMap(name []byte) (m lookupMap, ok bool) {
	switch string(name) {
	case "srv_features":
		return lookupMap{lists.SMTP, features}, true
	case "submission_features":
		return lookupMap{lists.Submission, features}, true
	case "tls_profile":
		return lookupMap{lists.SMTP, profile}, true
	}
	m.service, ok = policyd.ParseMap(name)
	return m, ok
}

// letters are those by which Sendmail hides keywords (Sendmail Installation and Operation Guide, ruleset srv_features). It
// cannot hide others.
var letters = [...]struct {
	keyword lists.Keywords
	letter  byte
}{
	{lists.MustParseKeyword("auth"), 'A'},
	{lists.MustParseKeyword("dsn"), 'D'},
	{lists.MustParseKeyword("etrn"), 'E'},
	{lists.MustParseKeyword("pipelining"), 'P'},
}

// FeatureKeywords are the keywords that Sendmail can hide from some clients, besides STARTTLS.
var FeatureKeywords = func() (k lists.Keywords) {
	for _, l := range letters {
		k |= l.keyword
	}
	return k
}()

// AppendFeatures appends the letters for a decision, separated by spaces. S hides STARTTLS.
func AppendFeatures(out []byte, service lists.Service, d *lists.Decision) []byte {
	begin := len(out)
	if d.Action == lists.Suppress && service != lists.Submission {
		out = append(out, 'S')
	}
	hide := d.Hide()
	for _, l := range letters {
		if !hide.Has(l.keyword) {
			continue
		}
		if len(out) > begin {
			out = append(out, ' ')
		}
		out = append(out, l.letter)
	}
	return out
}
