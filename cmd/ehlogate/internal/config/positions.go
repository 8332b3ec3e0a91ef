package config

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// position is the place of a value in the document.
type position struct {
	line, col, width int
	text             string // the line
}

// positions are the positions of all values in a document, by paths such as listen.memcache[0] and list[2].name.
type positions struct {
	at    map[string]position
	lines []string
}

// lookup returns the position of the value at path, or of the innermost table around it that has one.
func (p *positions) lookup(path string) position {
	for {
		if at, ok := p.at[path]; ok || path == "" {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// findPositions returns the positions of all values in a valid document.
func findPositions(data []byte) *positions {
	w := walker{positions: positions{make(map[string]position), strings.Split(string(data), "\n")}, count: make(map[string]int)}
	w.Reset(data)
	for w.NextExpression() {
		switch e := w.Expression(); e.Kind {
		case unstable.Table:
			w.prefix = w.keyPath(e.Key())
			w.addPosition(w.prefix, w.firstKey(e.Key()))
		case unstable.ArrayTable:
			name := w.keyPath(e.Key())
			w.prefix = fmt.Sprintf("%s[%d]", name, w.count[name])
			w.count[name]++
			w.addPosition(w.prefix, w.firstKey(e.Key()))
		case unstable.KeyValue:
			w.walkKeyValue(w.prefix, e)
		}
	}
	return &w.positions
}

type walker struct {
	unstable.Parser
	positions
	prefix string         // path of the current table
	count  map[string]int // elements of arrays of tables
}

func (w *walker) keyPath(keys unstable.Iterator) string {
	var parts []string
	for keys.Next() {
		parts = append(parts, string(keys.Node().Data))
	}
	return strings.Join(parts, ".")
}

func (w *walker) firstKey(keys unstable.Iterator) unstable.Range {
	keys.Next()
	return keys.Node().Raw
}

func (w *walker) walkKeyValue(prefix string, kv *unstable.Node) {
	path := w.keyPath(kv.Key())
	if prefix != "" {
		path = prefix + "." + path
	}
	w.addPosition(path, w.firstKey(kv.Key()))
	w.walkValue(path, kv.Value())
}

func (w *walker) walkValue(path string, v *unstable.Node) {
	if v.Raw.Length > 0 {
		w.addPosition(path, v.Raw)
	}
	switch v.Kind {
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); i++ {
			w.walkValue(fmt.Sprintf("%s[%d]", path, i), it.Node())
		}
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			w.walkKeyValue(path, it.Node())
		}
	}
}

func (w *walker) addPosition(path string, r unstable.Range) {
	at := w.position(w.Shape(r))
	at.width = int(r.Length)
	w.at[path] = at
}

// position returns the begin of a shape.
func (p *positions) position(s unstable.Shape) position {
	at := position{line: s.Start.Line, col: s.Start.Column}
	if at.line >= 1 && at.line <= len(p.lines) {
		at.text = strings.TrimSuffix(p.lines[at.line-1], "\r")
	}
	return at
}
