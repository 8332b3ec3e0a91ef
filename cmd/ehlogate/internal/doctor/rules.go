package doctor

import (
	"fmt"

	"ehlogate/cmd/ehlogate/internal/rehearse"
)

// Rules judges what became of the connections of a rehearsal of the rules in a
// file of nftables, with which a gateway intercepts mail.
func Rules(file string, tried rehearse.Result) *Report {
	var r Report
	var through []string // interfaces
	from := map[string][]string{}
	for _, t := range tried.Trials {
		if t.Outcome == rehearse.Passed {
			continue
		}
		f := Finding{Severity: Hazard, Place: Place{File: file, Parameter: "rule", Value: t.Rule}}
		if t.Rule == "" {
			f.Place = Place{File: file}
		}
		caught := t.Outcome == rehearse.Caught
		switch {
		case t.Own && caught:
			f.ID = "nft-loop"
			f.What = fmt.Sprintf("the gateway's own mail, from %s to %s, comes back to it: a loop", t.From, t.To)
			f.Why = "What the gateway sends on would be handed to itself, and nothing would ever leave: Postfix bounces mail that loops."
			f.Write = Write{file, []string{"in a chain with \"hook prerouting\", and not output: iifname != \"the inside interface\" return"}}
			if t.In != "" {
				f.Write.Lines = []string{fmt.Sprintf("before that rule: %s saddr %s return", family(t), t.From)}
			}
		case t.Own:
			f.ID, f.Severity = "nft-own-lost", Warning // a firewall may want it so of this address
			f.What = fmt.Sprintf("the gateway's own mail, from %s to %s, does not leave", t.From, t.To)
			f.Why = "All that was intercepted would stay in the queue until it bounces."
		case t.Inward && caught:
			f.ID = "nft-inward"
			f.What = fmt.Sprintf("mail from outside (through %s) to %s does not get there", t.In, t.To)
			f.Why = "Only what machines inside send is to be intercepted: here hosts outside could relay through the gateway, or not reach the mail servers inside."
			f.Write = Write{file, []string{"first in the chain: iifname != \"the inside interface\" return"}}
		case t.To.Port() != 25 && caught:
			f.ID = "nft-submission"
			f.What = fmt.Sprintf("port %d is intercepted, from %s through %s", t.To.Port(), t.From, t.In)
			f.Why = "Submission ends at another server than the one whose name is in the client's settings: its password would go to the gateway."
			f.Write = Write{file, []string{"only \"tcp dport 25\" in that rule"}}
		case caught:
			if from[t.In] == nil {
				through = append(through, t.In)
			}
			from[t.In] = append(from[t.In], t.From.String())
			if t.Blocked == "" {
				continue
			}
			f.ID = "nft-blocked"
			f.Place.Value = t.Blocked
			f.What = fmt.Sprintf("mail that is intercepted, from %s through %s, does not reach the port to which it is redirected", t.From, t.In)
			f.Why = "Clients that are intercepted wait in vain, and their mail bounces in the end. What one chain accepts, another may still drop."
			f.Write = Write{"the chain of that rule", []string{"tcp dport THE-PORT ct status dnat accept"}}
		default: // closed, which is for the operator to decide
			continue
		}
		r.add(f)
	}
	for _, in := range through {
		r.add(Finding{
			ID: "nft-intercepted", Severity: Note, Place: Place{File: file},
			What: fmt.Sprintf("mail to port 25 that comes in through %s is intercepted: tried from %s", in, some(from[in])),
			Why:  "See that this is what you want of this interface. Machines in a set of the rules may be treated otherwise.",
		})
	}
	if len(through) == 0 {
		r.add(Finding{
			ID: "nft-nothing-intercepted", Severity: Warning, Place: Place{File: file},
			What: "mail of no neighbour of this machine is intercepted",
			Why:  "The rules may be for other interfaces or networks, or for machines that are not directly connected, which cannot be tried here.",
		})
	}
	for _, what := range tried.Untried {
		r.add(Finding{
			ID: "nft-untried", Severity: Warning, Place: Place{File: file},
			What: "not tried: " + what,
			Why:  "What is not tried may hold a loop, or mail that gets nowhere.",
		})
	}
	r.sort()
	return &r
}

func family(t rehearse.Trial) string {
	if t.From.Is4() {
		return "ip"
	}
	return "ip6"
}
