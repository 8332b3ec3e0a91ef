package config

import (
	"bytes"
	"cmp"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"ehlogate/lists/filewatch"
)

// Salvaged is what can be read of a config, even if the config as a whole cannot be used.
type Salvaged struct {
	JSON bool     // log.format is "json"
	HTTP []string // listen.http
}

// Salvage reads what it can of the config file name, or of DefaultFile if name is "". Other mistakes in the file do not
// matter to it.
func Salvage(name string) (s Salvaged) {
	data, err := filewatch.ReadFile(cmp.Or(name, DefaultFile), maxFile)
	if err != nil {
		return s
	}
	for _, section := range splitSections(string(bytes.TrimPrefix(data, []byte("\ufeff")))) {
		if s.add(section) {
			continue
		}
		header, _, _ := strings.Cut(section, "\n")
		if !strings.HasPrefix(header, "[") {
			header = ""
		}
		for line := range strings.Lines(section) { // one of them is broken
			s.add(header + "\n" + line)
		}
	}
	return s
}

// splitSections splits a document before each line with the header of a table.
func splitSections(text string) (sections []string) {
	begin, at := 0, 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[") {
			sections, begin = append(sections, text[begin:at]), at
		}
		at += len(line)
	}
	return append(sections, text[begin:])
}

// add takes the keys of a section. It reports whether the section is valid.
func (s *Salvaged) add(section string) bool {
	var doc struct {
		Log struct {
			Format any `toml:"format"`
		} `toml:"log"`
		Listen struct {
			HTTP any `toml:"http"`
		} `toml:"listen"`
	}
	if err := toml.Unmarshal([]byte(section), &doc); err != nil {
		return false
	}
	s.JSON = s.JSON || doc.Log.Format == "json"
	if addrs, ok := doc.Listen.HTTP.([]any); ok && s.HTTP == nil {
		for _, a := range addrs {
			if a, ok := a.(string); ok {
				s.HTTP = append(s.HTTP, a)
			}
		}
	}
	return true
}
