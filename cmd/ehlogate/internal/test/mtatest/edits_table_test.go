package mtatest_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tooManyFiles is how the log tells of EMFILE.
var tooManyFiles = regexp.MustCompile("too many open files")

// editTable is how long edits took to come in force.
type editTable struct {
	mu   sync.Mutex
	took map[string]time.Duration
}

func newEditTable(t *testing.T) *editTable {
	tab := &editTable{took: map[string]time.Duration{}}
	t.Cleanup(func() { t.Log("\n" + tab.markdown()) })
	tables.Lock()
	defer tables.Unlock()
	tables.all = append(tables.all, tab)
	return tab
}

func (e *editTable) add(name string, took time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.took[name] = took
}

func (e *editTable) markdown() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var b strings.Builder
	b.WriteString("### How an edit comes in force\n\n| A list is edited: | in force after |\n|---|---:|\n")
	for _, edit := range edits {
		if took, ok := e.took[edit.name]; ok {
			fmt.Fprintf(&b, "| %s | %.1f s |\n", edit.name, took.Seconds())
		}
	}
	var all []time.Duration
	for _, took := range e.took {
		all = append(all, took)
	}
	if slices.Sort(all); len(all) > 0 {
		fmt.Fprintf(&b, "| **longest of %d** | **%.1f s** |\n", len(all), all[len(all)-1].Seconds())
	}
	return b.String()
}
