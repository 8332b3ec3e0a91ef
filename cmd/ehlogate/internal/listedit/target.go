package listedit

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/printable"
)

// findList returns a list that operators edit: one of list files.
func (e *Editor) findList(name string) (*config.List, error) {
	var own []string
	for i := range e.Config.Lists {
		l := &e.Config.Lists[i]
		if IsOwn(l) {
			own = append(own, l.Name)
		}
		if l.Name != name {
			continue
		}
		switch {
		case l.IsDNSList():
			return nil, fmt.Errorf("list %q is a DNS list: its publisher has the entries, and ehlogate only queries them", name)
		case l.IsLearned():
			return nil, fmt.Errorf(`list %q learns from logs: "ehlogate fallback" changes it`, name)
		case l.Spec.Format != nil:
			return nil, fmt.Errorf("list %q is a feed in format %v, which the next fetch would overwrite: write an exception or an entry into a list of your own before it", name, l.Spec.Format)
		}
		return l, nil
	}
	if len(own) == 0 {
		return nil, fmt.Errorf("no list %q: the config has no list of your own files", name)
	}
	return nil, fmt.Errorf("no list %q in the config: your own lists are %s", name, strings.Join(own, ", "))
}

// IsOwn reports whether a list has the operator's own files.
func IsOwn(l *config.List) bool { return l.IsOfFiles() && l.Spec.Format == nil }

// files returns the files of a list, or the one of them that the operator named.
func (e *Editor) files(l *config.List) ([]string, error) {
	found := filewatch.StatFiles(l.Spec.Patterns, nil)
	if err := found.Err(); err != nil {
		return nil, err
	}
	names := found.Names()
	if e.File == "" {
		return names, nil
	}
	abs, err := filepath.Abs(e.File)
	if err != nil {
		return nil, err
	}
	var matches []string
	for _, name := range names {
		if name == abs || !strings.Contains(e.File, "/") && filepath.Base(name) == e.File {
			matches = append(matches, name)
		}
	}
	if len(matches) != 1 {
		return nil, fmt.Errorf("--file %s: list %q has the files %s", printable.Escape(e.File), l.Name, joinNames(names))
	}
	return matches, nil
}

// chooseFile returns the file of a list that a new line goes into: the only one, or the only one that the config names.
func (e *Editor) chooseFile(l *config.List) (string, error) {
	names, err := e.files(l)
	if err != nil {
		return "", err
	}
	if len(names) == 1 {
		return names[0], nil
	}
	var named []string
	for _, name := range names {
		if slices.Contains(l.Spec.Patterns, filewatch.EscapeGlob(name)) {
			named = append(named, name)
		}
	}
	if len(named) != 1 {
		return "", fmt.Errorf("list %q has %d files: name one with --file: %s", l.Name, len(names), joinNames(names))
	}
	return named[0], nil
}

// listsOf returns the indexes of the lists that have a file.
func (e *Editor) listsOf(file string) (found []int) {
	for i := range e.Config.Lists {
		l := &e.Config.Lists[i]
		if l.IsOfFiles() && slices.Contains(filewatch.StatFiles(l.Spec.Patterns, nil).Names(), file) {
			found = append(found, i)
		}
	}
	return found
}

func joinNames(names []string) string {
	const most = 20
	text := make([]string, 0, most)
	for _, name := range names[:min(len(names), most)] {
		text = append(text, printable.Escape(name))
	}
	if len(names) > most {
		text = append(text, fmt.Sprintf("and %d others", len(names)-most))
	}
	return strings.Join(text, ", ")
}
