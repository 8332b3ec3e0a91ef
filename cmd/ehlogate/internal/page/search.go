package page

import (
	"context"
	"net/url"
	"strings"

	"ehlogate/cmd/ehlogate/internal/explain"
)

// search is the search for a client.
type search struct {
	Client string // as it was written
	Error  string
	Title  string // of what was found; "": nothing was searched for
	Action string
	Rows   []foundRow
	More   int // rows that have no space
}

// foundRow is one thing that is known of the client.
type foundRow struct {
	Label, Text string
	Table       *table // nil: none
}

// maxFound is how many rows a search finds.
const maxFound = 200

// maxClient is how many bytes of what was searched for are shown.
const maxClient = 100

// tableColumns are those of the tables of a report, by the label of their row.
var tableColumns = map[string][]string{
	"DNS":     {"code:Query", "code:Answer", "wide:Effect", "From"},
	"answers": {"Protocol", "code:Query", "code:Reply", "wide:What the mail server does"},
}

func (v *view) addSearch(ctx context.Context, query string) {
	q, err := url.ParseQuery(query)
	if err != nil {
		v.Search.Error = v.say("%v", err)
		return
	}
	wanted := ""
	for key, values := range q {
		if key != "client" && key != "addr" || len(values) > 1 || len(q) > 1 { // addr as in the API
			v.Search.Error = v.say("unknown parameter %s, or more than one: use client", key)
			return
		}
		wanted = strings.TrimSpace(values[0])
	}
	if v.Search.Client = v.take(wanted, maxClient); wanted == "" {
		return
	}
	c, err := explain.ParseClient(wanted, "", "")
	if err != nil {
		v.Search.Error = v.say("%v", err)
		return
	}
	report := v.page.api.Decision(ctx, c)
	v.Search.Title, v.Search.Action = v.say("%s", report.Title()), report.Decision.Action.String()
	for _, row := range report.Rows() {
		if len(v.Search.Rows) >= maxFound || v.left < maxPageText/2 { // the rest is for what is below
			v.Search.More++
			continue
		}
		found := foundRow{Label: v.say("%s", row.Label), Text: v.say("%s", row.Text)}
		if len(row.Table) > 0 {
			found.Table = newTable(strings.TrimSpace(found.Label+" "+found.Text), tableColumns[row.Label]...)
			for _, texts := range row.Table {
				cells := make([]cell, len(found.Table.Columns))
				for i := range min(len(texts), len(cells)) {
					cells[i].Text = texts[i]
				}
				v.add(found.Table, cells...)
			}
			found.Table.dropEmpty()
		}
		v.Search.Rows = append(v.Search.Rows, found)
	}
}
