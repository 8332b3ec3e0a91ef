package doctor

import (
	"slices"
	"strconv"
	"strings"

	"ehlogate/lists/lazyregexp"
)

// view is the configuration as one service sees it: its own -o options, then main.cf, then the defaults.
type view struct {
	pf  *Postfix
	svc *Service // nil: main.cf alone
}

// proxymap returns the view of the service that reads tables behind proxy: for the others.
func (pf *Postfix) proxymap() view {
	for _, s := range pf.Services {
		if s.String() == "proxymap unix" && s.values != nil {
			return view{pf, s}
		}
	}
	return view{pf, nil}
}

// origin returns where a setting is, whichever service reads it there, and its value as it is written.
func (v view) origin(name string) Place {
	if v.svc != nil {
		if value, ok := v.svc.Params[name]; ok {
			return Place{File: "master.cf", Service: v.svc.String(), Parameter: name, Value: value}
		}
	}
	if value, ok := v.pf.Main[name]; ok {
		return Place{File: "main.cf", Parameter: name, Value: value}
	}
	return Place{File: defaultFile, Parameter: name, Value: v.value(name)}
}

// value returns a setting with all references expanded.
func (v view) value(name string) string {
	if v.svc != nil {
		return v.svc.values[name]
	}
	return v.pf.values[name]
}

// expandEntry returns an entry of a list setting with all references expanded.
func (v view) expandEntry(entry string) string {
	if text, ok := v.svc.expanded[entry]; ok {
		return text
	}
	return entry
}

func (v view) isYes(name string) bool { return strings.EqualFold(v.value(name), "yes") }

// place returns where a setting is that is about this service.
func (v view) place(name string) Place {
	at := v.origin(name)
	if v.svc != nil {
		at.Service = v.svc.String()
	}
	return at
}

var reference = lazyregexp.New(`\$[{(]?\s*(\w+)`)

// holder returns where a part of a setting is written: there, or in a parameter that it refers to.
func (v view) holder(name, part string) Place {
	queue := []string{name}
	for i := 0; i < len(queue); i++ {
		at := v.origin(queue[i])
		if strings.Contains(at.Value, part) {
			return at
		}
		for _, m := range reference.FindAllStringSubmatch(at.Value, -1) {
			queue = append(queue, without(m[1:], queue)...)
		}
	}
	return v.origin(name)
}

// isChrooted reports whether the service runs in the queue directory. The default depends on compatibility_level.
func (v view) isChrooted() bool {
	if v.svc == nil {
		return false
	}
	if v.svc.Chroot == "-" {
		major, _, _ := strings.Cut(v.value("compatibility_level"), ".")
		level, err := strconv.Atoi(major)
		return err != nil || level < 1
	}
	return v.svc.Chroot == "y"
}

// portName returns the port of an inet service: a name or a number.
func (s *Service) portName() string {
	if s.Type != "inet" {
		return ""
	}
	return s.Name[strings.LastIndexByte(s.Name, ':')+1:]
}

// isSubmission reports whether the service is for clients that log in: by its port, or because it speaks TLS from the
// first byte. What main.cf says for all services is for none in particular.
func (v view) isSubmission() bool {
	return v.svc != nil && isSubmissionPort(v.svc.portName()) || v.isWrapped()
}

// isWrapped reports whether the service speaks TLS from the first byte: it never offers STARTTLS.
func (v view) isWrapped() bool { return v.isYes("smtpd_tls_wrappermode") }

// isPublic reports whether other mail servers deliver to this service.
func (v view) isPublic() bool {
	if v.svc.Type == "pass" { // what postscreen lets pass
		return slices.ContainsFunc(v.pf.Services, func(s *Service) bool { return s.Command == "postscreen" && !s.isLocal() })
	}
	return (v.svc.portName() == "smtp" || v.svc.portName() == "25") && !v.svc.isLocal()
}

// isLocal reports whether only this machine can connect to an inet service.
func (s *Service) isLocal() bool {
	host, _, _ := strings.Cut(s.Name, ":"+s.portName())
	return isLoopbackHost(host)
}
