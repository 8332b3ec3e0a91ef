package doctor

import (
	"strings"
)

// The parameters that the examination turns on.
const (
	smtpdMaps      = "smtpd_discard_ehlo_keyword_address_maps"
	smtpdKeywords  = "smtpd_discard_ehlo_keywords"
	smtpdFilter    = "smtpd_command_filter"
	screenMaps     = "postscreen_discard_ehlo_keyword_address_maps"
	screenFilter   = "postscreen_command_filter"
	proxyReadMaps  = "proxy_read_maps"
	queueDirectory = "queue_directory"
)

// defaults are those of Postfix, as far as they matter here and are not empty.
var defaults = map[string]string{
	"config_directory":                    "/etc/postfix",
	queueDirectory:                        "/var/spool/postfix",
	screenMaps:                            "$" + smtpdMaps,
	"smtpd_enforce_tls":                   "no",
	"smtpd_use_tls":                       "no",
	"smtpd_tls_wrappermode":               "no",
	"smtpd_tls_auth_only":                 "no",
	"smtpd_sasl_auth_enable":              "no",
	"smtpd_policy_service_default_action": "451 4.3.5 Server configuration problem",
	"smtpd_policy_service_timeout":        "100s",
	"smtpd_policy_service_try_limit":      "2",
	"milter_default_action":               "tempfail",
	"milter_connect_timeout":              "30s",
	"milter_command_timeout":              "30s",
	"milter_content_timeout":              "300s",
	"virtual_alias_domains":               "$virtual_alias_maps",
	"virtual_mailbox_domains":             "$virtual_mailbox_maps",
	proxyReadMaps: `$local_recipient_maps $mydestination $virtual_alias_maps $virtual_alias_domains $virtual_mailbox_maps
		$virtual_mailbox_domains $relay_recipient_maps $relay_domains $canonical_maps $sender_canonical_maps
		$recipient_canonical_maps $relocated_maps $transport_maps $mynetworks $smtpd_sender_login_maps $sender_bcc_maps
		$recipient_bcc_maps $smtp_generic_maps $lmtp_generic_maps $alias_maps $smtpd_client_restrictions
		$smtpd_helo_restrictions $smtpd_sender_restrictions $smtpd_relay_restrictions $smtpd_recipient_restrictions
		$fallback_transport_maps $mailbox_command_maps $mailbox_transport_maps $rbl_reply_maps $smtpd_milter_maps
		$postscreen_discard_ehlo_keyword_address_maps $smtp_discard_ehlo_keyword_address_maps
		$smtpd_discard_ehlo_keyword_address_maps $postscreen_command_filter $smtpd_command_filter
		$virtual_gid_maps $virtual_uid_maps`,
}

// view is the configuration as one service sees it: its own -o options, then
// main.cf, then the defaults.
type view struct {
	pf  *Postfix
	svc *Service // nil: main.cf alone
}

// service finds a service that others ask, such as "proxymap unix".
func (pf *Postfix) service(name, typ string) view {
	for _, s := range pf.Services {
		if s.Name == name && s.Type == typ {
			return view{pf, s}
		}
	}
	return view{pf, nil}
}

// raw gives a setting as it is written, and where that is.
func (v view) raw(name string) (value string, at Place, set bool) {
	at = Place{File: "default", Parameter: name}
	if v.svc != nil {
		if value, ok := v.svc.Params[name]; ok {
			return value, Place{File: "master.cf", Service: v.svc.String(), Parameter: name, Value: value}, true
		}
		switch name {
		case "service_name":
			return v.svc.Name, at, false
		case "process_name":
			return v.svc.Command, at, false
		}
	}
	if value, ok := v.pf.Main[name]; ok {
		return value, Place{File: "main.cf", Parameter: name, Value: value}, true
	}
	if at.Value = defaults[name]; name == "mydomain" {
		at.Value = v.pf.domain()
	}
	return at.Value, at, false
}

// domain is what Postfix makes of its host name where mydomain is not set; empty if that is not set either.
func (pf *Postfix) domain() string {
	host := pf.Main["myhostname"]
	if strings.Contains(host, "$") {
		return ""
	}
	_, domain, _ := strings.Cut(host, ".")
	return domain
}

// get gives a setting with all references expanded.
func (v view) get(name string) string { return strings.TrimSpace(v.expander().value(name, 0)) }

func (v view) expander() *expander {
	return &expander{lookup: func(name string) string { value, _, _ := v.raw(name); return value }}
}

func (v view) yes(name string) bool { return strings.EqualFold(v.get(name), "yes") }

// place says where a setting stands that is about this service.
func (v view) place(name string) Place {
	_, at, _ := v.raw(name)
	if v.svc != nil {
		at.Service = v.svc.String()
	}
	return at
}

// origin says where a setting stands, whichever service reads it there.
func (v view) origin(name string) Place {
	_, at, _ := v.raw(name)
	return at
}

// holder says where a part of a setting is written: there, or in a parameter that it refers to.
func (v view) holder(name, part string) Place {
	seen := map[string]bool{}
	for queue := []string{name}; len(queue) > 0; queue = queue[1:] {
		value, at, _ := v.raw(queue[0])
		if strings.Contains(value, part) {
			return at
		}
		x := expander{lookup: func(name string) string {
			if !seen[name] {
				seen[name] = true
				queue = append(queue, name)
			}
			return ""
		}}
		x.expand(value, 0)
	}
	return v.origin(name)
}

// inMain is the advice to set something for all: a line that is pasted does nothing if another one stands further down.
func inMain(settings ...string) Write {
	w := Write{In: shell}
	for _, s := range settings {
		w.Lines = append(w.Lines, "postconf "+quote(s))
	}
	return w
}

// chrooted tells whether the service runs in the queue directory. Postfix
// leaves the default to compatibility_level, which is 0 unless set.
func (v view) chrooted() bool {
	if v.svc == nil {
		return false
	}
	if v.svc.Chroot == "-" {
		level := v.get("compatibility_level")
		return level == "" || compare(level, "1") < 0
	}
	return v.svc.Chroot == "y"
}

// forSubmission tells whether the service is for clients that log in: by its
// port, or because it speaks TLS from the first byte.
func (v view) forSubmission() bool {
	port := v.svc.Name[strings.LastIndexByte(v.svc.Name, ':')+1:]
	switch port {
	case "submission", "587", "submissions", "smtps", "urd", "465":
		return v.svc.Type == "inet"
	}
	return v.yes("smtpd_tls_wrappermode")
}
