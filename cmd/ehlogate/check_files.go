package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/feed"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/listfile"
)

// checkFiles checks single files, those of one list together. Files that belong to no list are in the format.
func (c *checker) checkFiles(o *options, names []string, list, format string) error {
	grammar, err := parseGrammar(format)
	if err != nil {
		return err
	}
	cfg, err := o.loadConfig()
	if err != nil {
		if list != "" || o.config != "" {
			return exitError{exitWrong, err}
		}
		cfg = config.Defaults() // a broken config is no reason not to check a list
	}
	specs := make(map[string]*listfile.Spec)
	var order []string
	for _, name := range names {
		if name == "" {
			return errors.New("empty file name")
		}
		if strings.HasSuffix(name, ".toml") {
			c.checkConfig(name)
			continue
		}
		abs, err := filepath.Abs(name)
		if err != nil {
			return exitError{exitWrong, err}
		}
		found, err := findLists(cfg, abs, list)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			found = []config.List{{Spec: listfile.Spec{Rules: listfile.Rules{AnyAction: true}, Format: grammar}}}
		}
		for _, l := range found {
			if format != "" && !isFormat(l.Spec.Format, grammar) {
				return exitError{exitWrong, fmt.Errorf("%s belongs to list %q, which has another format: leave out --format", name, l.Name)}
			}
			if specs[l.Name] == nil {
				specs[l.Name] = &listfile.Spec{Rules: l.Spec.Rules, Format: l.Spec.Format, MaxEntries: cfg.MaxEntries, Named: true}
				order = append(order, l.Name)
			}
			specs[l.Name].Patterns = append(specs[l.Name].Patterns, filewatch.EscapeGlob(abs))
		}
	}
	for i, name := range order {
		title := fmt.Sprintf("list %q", name)
		if name == "" {
			title = "file of no list in the config (rules that depend on an action are not checked)"
		}
		c.checkList(title, name, *specs[name], lists.Enforce, "", i < len(order)-1)
	}
	return nil
}

// findLists returns the lists that a file belongs to, or the list of that name; none if it belongs to no list.
func findLists(cfg *config.Config, path, list string) (found []config.List, err error) {
	var known []string
	for _, l := range cfg.Lists {
		known = append(known, l.Name)
		if l.Name == list {
			if l.IsDNSList() {
				return nil, exitError{exitWrong, fmt.Errorf("list %q is a DNS list and has no files", list)}
			}
			if l.IsLearned() {
				return nil, exitError{exitWrong, fmt.Errorf("list %q learns from logs and has no files", list)}
			}
			return []config.List{l}, nil
		}
		for _, pattern := range l.Spec.Patterns {
			if ok, _ := filepath.Match(pattern, path); ok {
				found = append(found, l)
				break
			}
		}
	}
	if list != "" {
		return nil, exitError{exitWrong, fmt.Errorf("no list %q in the config, only %q", list, known)}
	}
	return found, nil
}

// ownFormat is the name of the format of ehlogate.list(5) in the config.
const ownFormat = "list"

// parseGrammar returns the grammar of a format of the config; nil is that of ehlogate.list(5).
func parseGrammar(format string) (listfile.Grammar, error) {
	if format == "" || format == ownFormat {
		return nil, nil
	}
	f, err := feed.ParseFormat(format)
	if err != nil {
		return nil, fmt.Errorf("--format: unknown format %q: write %q or one of %s", format, ownFormat, strings.Join(feed.Formats(), ", "))
	}
	return f, nil
}

// isFormat reports whether the files of a list are in a format, whichever of their entries count.
func isFormat(list, format listfile.Grammar) bool {
	if list == nil || format == nil {
		return list == format
	}
	return fmt.Sprint(list) == fmt.Sprint(format)
}
