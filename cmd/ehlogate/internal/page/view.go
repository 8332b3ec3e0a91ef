package page

import (
	"context"
	"fmt"
	"html"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists/printable"
)

const (
	// maxPageText is how many bytes all tables and texts have together. The rest of a page is less than 100 kB.
	maxPageText = 600 << 10
	// maxRows is how many rows a table has.
	maxRows = 100
	// maxText and maxCell are how many bytes a text, and a cell of a table, have.
	maxText = 1000
	maxCell = 300
)

// view is what the page shows.
type view struct {
	Version  string
	Now      time.Time
	Health   health
	Search   search
	Figures  []figure
	Chart    chart
	Sections []section
	Unused   []string // what is not in use, and would be here

	left     int // bytes of text that there is space for
	page     *Page
	snapshot *state.Snapshot
	lists    []httpapi.ListStatus
}

// figure is a number at the top.
type figure struct{ Value, Name string }

// section is a part of the page under a heading.
type section struct {
	ID, Title string
	Lead      []string // sentences
	Tables    []*table
}

type table struct {
	Caption string
	Columns []column
	Rows    [][]cell
	More    int // rows that have no space
}

type column struct {
	Name  string
	Class string // "number", "code", "wide"
}

// cell is one cell of a table.
type cell struct {
	Text  string
	State string    // "ok", "degraded", "unavailable": Text is this word, shown with a sign
	Time  time.Time // Text is how long ago that is
	Lines []string  // below Text
}

// newView returns what the page shows for a query.
func (p *Page) newView(ctx context.Context, query string) *view {
	v := &view{Version: p.api.Version, Now: time.Now(), left: maxPageText, page: p, snapshot: p.api.Manager.Snapshot(), lists: p.api.Lists()}
	v.addHealth()
	v.addSearch(ctx, query)
	v.addSessions()
	v.addLists()
	v.addZones()
	v.addFailing()
	v.addLearned(ctx)
	v.addGuard()
	v.addLimit()
	v.addEdits(ctx)
	return v
}

// take returns text that is safe to show, of at most max bytes, and takes its space.
func (v *view) take(text string, max int) string {
	text = printable.Shorten(printable.Escape(printable.Shorten(text, max)), max)
	size := len(html.EscapeString(text))
	if size > v.left {
		return ""
	}
	v.left -= size
	return text
}

// say returns a sentence that is safe to show.
func (v *view) say(format string, args ...any) string {
	return v.take(fmt.Sprintf(format, args...), maxText)
}

// add adds a row to a table if there is space for it, and else counts it.
func (v *view) add(t *table, cells ...cell) {
	size := 0
	for i := range cells {
		c := &cells[i]
		c.Text = v.clean(c.Text)
		size += len(html.EscapeString(c.Text)) + len("<td class=number></td>")
		for j, line := range c.Lines {
			c.Lines[j] = v.clean(line)
			size += len(html.EscapeString(c.Lines[j])) + len("<div></div>")
		}
	}
	if len(t.Rows) >= maxRows || size > v.left {
		t.More++
		return
	}
	v.left -= size
	t.Rows = append(t.Rows, cells)
}

func (v *view) clean(text string) string {
	return printable.Shorten(printable.Escape(printable.Shorten(text, maxCell)), maxCell)
}

// newTable returns a table without rows. A column is a name, or a class, a colon and a name.
func newTable(caption string, columns ...string) *table {
	t := &table{Caption: caption}
	for _, c := range columns {
		class, name, ok := strings.Cut(c, ":")
		if !ok {
			class, name = "", c
		}
		t.Columns = append(t.Columns, column{name, class})
	}
	return t
}

// addSection adds a section, without tables that have no rows.
func (v *view) addSection(s section) {
	s.Tables = slices.DeleteFunc(s.Tables, func(t *table) bool { return len(t.Rows) == 0 && t.More == 0 })
	for _, t := range s.Tables {
		t.dropEmpty()
	}
	v.Sections = append(v.Sections, s)
}

// dropEmpty leaves out columns without text, such as that of errors if there are none.
func (t *table) dropEmpty() {
	for i := len(t.Columns) - 1; i > 0; i-- {
		isEmpty := func(row []cell) bool { return row[i].Text == "" && len(row[i].Lines) == 0 }
		if slices.ContainsFunc(t.Rows, func(row []cell) bool { return !isEmpty(row) }) {
			continue
		}
		t.Columns = slices.Delete(t.Columns, i, i+1)
		for j := range t.Rows {
			t.Rows[j] = slices.Delete(t.Rows[j], i, i+1)
		}
	}
}

// textCell returns a cell with text.
func textCell(format string, args ...any) cell { return cell{Text: fmt.Sprintf(format, args...)} }

// number returns a cell with a number.
func number[T int | int64 | uint32 | uint64](n T) cell { return cell{Text: groupDigits(n)} }

// groupDigits returns "12,410".
func groupDigits[T int | int64 | uint32 | uint64](n T) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// count returns "1 client", "2,911 clients".
func count[T int | int64 | uint32 | uint64](n T, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return groupDigits(n) + " " + noun
}

// age returns a cell that says how long ago a time is; a zero time is none.
func (v *view) age(t time.Time) cell {
	if t.IsZero() {
		return cell{}
	}
	return cell{Text: describeAge(v.Now.Sub(t)), Time: t}
}

// describeAge returns "3 min ago", or "in 3 min".
func describeAge(d time.Duration) string {
	if d < 0 {
		return "in " + describeSpan(-(d + 1)) // the shortest Duration has no opposite
	}
	return describeSpan(d) + " ago"
}

func describeSpan(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
