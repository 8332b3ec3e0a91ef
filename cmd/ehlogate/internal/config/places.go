package config

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// place is where a value stands.
type place struct {
	line, col, width int
	text             string // the line
}

// places knows where the values of a TOML document stand, by paths such as
// listen.memcache[0] and list[2].name.
type places struct {
	at    map[string]place
	lines []string
}

// find gives the place of a value, or of the nearest that is around it.
func (p *places) find(path string) place {
	for {
		if at, ok := p.at[path]; ok || path == "" {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// locate walks over a document that is known to be good.
func locate(data []byte) *places {
	w := walker{places: places{make(map[string]place), strings.Split(string(data), "\n")}, count: make(map[string]int)}
	w.Reset(data)
	for w.NextExpression() {
		switch e := w.Expression(); e.Kind {
		case unstable.Table:
			w.prefix = w.name(e.Key())
			w.note(w.prefix, w.first(e.Key()))
		case unstable.ArrayTable:
			name := w.name(e.Key())
			w.prefix = fmt.Sprintf("%s[%d]", name, w.count[name])
			w.count[name]++
			w.note(w.prefix, w.first(e.Key()))
		case unstable.KeyValue:
			w.keyValue(w.prefix, e)
		}
	}
	return &w.places
}

type walker struct {
	unstable.Parser
	places
	prefix string         // of the table we are in
	count  map[string]int // elements of arrays of tables
}

func (w *walker) name(keys unstable.Iterator) string {
	var parts []string
	for keys.Next() {
		parts = append(parts, string(keys.Node().Data))
	}
	return strings.Join(parts, ".")
}

func (w *walker) first(keys unstable.Iterator) unstable.Range {
	keys.Next()
	return keys.Node().Raw
}

func (w *walker) keyValue(prefix string, kv *unstable.Node) {
	path := w.name(kv.Key())
	if prefix != "" {
		path = prefix + "." + path
	}
	w.note(path, w.first(kv.Key()))
	w.value(path, kv.Value())
}

func (w *walker) value(path string, v *unstable.Node) {
	if v.Raw.Length > 0 {
		w.note(path, v.Raw)
	}
	switch v.Kind {
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); i++ {
			w.value(fmt.Sprintf("%s[%d]", path, i), it.Node())
		}
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			w.keyValue(path, it.Node())
		}
	}
}

func (w *walker) note(path string, r unstable.Range) {
	at := w.place(w.Shape(r))
	at.width = int(r.Length)
	w.at[path] = at
}

// place returns where a shape begins.
func (p *places) place(s unstable.Shape) place {
	at := place{line: s.Start.Line, col: s.Start.Column}
	if at.line >= 1 && at.line <= len(p.lines) {
		at.text = strings.TrimSuffix(p.lines[at.line-1], "\r")
	}
	return at
}
