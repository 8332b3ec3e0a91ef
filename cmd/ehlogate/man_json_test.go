package main

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/cmd/ehlogate/internal/learn"
	"ehlogate/cmd/ehlogate/internal/listedit"
	"ehlogate/cmd/ehlogate/internal/logs"
	"ehlogate/cmd/ehlogate/internal/replay"
	"ehlogate/cmd/ehlogate/internal/tlsreport"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
	"ehlogate/lists/maillog"
)

// TestJSONFields checks that ehlogate(8) has each field of the JSON that replay and /api/v1/clients write, and no other.
func TestJSONFields(t *testing.T) {
	page := parsePage(readPage(t, "ehlogate.8"))
	for heading, value := range map[string]any{
		"replay --sessions": replay.Session{}, "replay --json": replay.Report{}, "replay --diff OLD --json": replay.Diff{},
		"/api/v1/clients": logs.ClientReport{}, "/api/v1/learned": learnedReply{}, "/api/v1/learned/ADDR": learnedClientReply{},
		"a client of a fallback list": fallback.ClientReport{}, "an entry": fallback.EntryReport{}, "a client of an earned list": earned.ClientReport{},
		"/api/v1/clients?network=": logs.NetworkReport{}, "list log --json": listedit.Log{},
		"list show --json": listedit.Lists{}, "list show LIST --json": listedit.Entries{}, "list find --json": listedit.Found{},
		"tlsrpt --json": tlsreport.Report{},
	} {
		var got []string
		for _, term := range page.sections[heading] {
			got = append(got, strings.Fields(strings.NewReplacer(".BR ", "", `"`, "", ",", " ").Replace(term))...)
		}
		want := jsonPaths(reflect.TypeOf(value), "", "")
		if heading == "replay --json" { // its lists of clients are explained once
			want = append(want, jsonPaths(reflect.TypeFor[replay.Client](), "", "")...)
		}
		for _, problem := range difference(heading, got, want) {
			t.Error(problem)
		}
	}
}

// learnedReply and learnedClientReply are the replies about what was learned, without the status of the daemon.
type learnedReply struct {
	Lists []httpapi.LearnedList `json:"lists"`
	learn.Report
}

type learnedClientReply struct {
	Lists []httpapi.LearnedList `json:"lists"`
	learn.ClientReport
}

// explainedOnce are types that have a heading of their own, or are one value.
var explainedOnce = []reflect.Type{
	reflect.TypeFor[replay.Client](), reflect.TypeFor[fallback.ClientReport](), reflect.TypeFor[fallback.EntryReport](), reflect.TypeFor[earned.ClientReport](),
	reflect.TypeFor[time.Time](), reflect.TypeFor[netip.Addr](),
}

// jsonPaths returns the fields of a type, with [] behind those that are arrays, and ? behind those that may be left out.
func jsonPaths(typ reflect.Type, prefix, optional string) (paths []string) {
	for f := range typ.Fields() {
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous {
			paths = append(paths, jsonPaths(f.Type, prefix, optional)...)
		}
		if tag == "" || tag == "-" {
			continue
		}
		path, mark, elem := prefix+tag, optional, f.Type
		if options != "" {
			mark = "?"
		}
		if elem.Kind() == reflect.Pointer {
			elem = elem.Elem()
		}
		if elem.Kind() == reflect.Slice {
			path, elem = path+"[]", elem.Elem()
		}
		if elem.Kind() == reflect.Pointer {
			elem = elem.Elem()
		}
		switch {
		case f.Name == "TLS" && elem.Kind() == reflect.Map:
			for _, word := range maillog.AllTLS() {
				paths = append(paths, path+"."+word.String()+mark)
			}
		case f.Name == "Mail" && elem.Kind() == reflect.Map:
			for _, word := range maillog.AllMail() {
				paths = append(paths, path+"."+word.String()+mark)
			}
		case elem.Kind() == reflect.Struct && !slices.Contains(explainedOnce, elem):
			paths = append(paths, jsonPaths(elem, path+".", mark)...)
		default:
			paths = append(paths, path+mark)
		}
	}
	return paths
}

// TestOutcomeWords checks that ehlogate(8) has each word for a reason why TLS failed, and no other.
func TestOutcomeWords(t *testing.T) {
	source := readPage(t, "ehlogate.8")
	_, section, _ := strings.Cut(source, "\n.SH OUTCOMES\n")
	section, _, _ = strings.Cut(section, "\n.SH ")
	var got []string
	for line := range strings.Lines(withoutFonts.Replace(section)) {
		if words, ok := strings.CutPrefix(line, "Classes: "); ok {
			got = append(got, strings.Split(strings.TrimSuffix(words, ".\n"), ", ")...)
		}
	}
	want := []string{maillog.ClassHandshakeOnly.String()}
	for _, class := range maillog.FailureClasses() {
		want = append(want, class.String())
	}
	for _, problem := range difference("OUTCOMES", got, want) {
		t.Error(problem)
	}
	if slices.Sort(got); len(slices.Compact(got)) != len(want) {
		t.Error("OUTCOMES: a class is there twice")
	}
}
