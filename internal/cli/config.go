package cli

import (
	"errors"
	"fmt"

	"pqfront/internal/app"
	"pqfront/internal/control/configfile"
)

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Validate distribution files offline: every problem at once, with its JSON path."`
}

type configCheckCmd struct {
	Files []string `arg:"" name:"file" help:"Files, or folders whose *.json are meant, as for serve -f."`
	JSON  bool     `name:"json" help:"Print JSON."`
}

// checkResult is what config check --json prints.
type checkResult struct {
	OK            bool                 `json:"ok"`
	Files         []string             `json:"files"`
	Distributions []checkedSite        `json:"distributions"`
	Problems      []configfile.Problem `json:"problems"`
	Notes         []configfile.Note    `json:"notes"`
}

type checkedSite struct {
	ID             string   `json:"id"`
	Aliases        []string `json:"aliases"`
	SecurityPolicy string   `json:"security_policy"`
	Enabled        bool     `json:"enabled"`
}

// Run checks the files; a problem is exit code 2.
func (c *configCheckCmd) Run(e *env) error {
	result, err := configfile.Load(c.Files, app.FileOptions())
	out := checkResult{OK: err == nil, Files: c.Files, Distributions: []checkedSite{}, Problems: []configfile.Problem{}, Notes: []configfile.Note{}}
	if problems, ok := errors.AsType[*configfile.Problems](err); ok {
		out.Problems = problems.List
	} else if err != nil {
		return usageError{err}
	}
	if result != nil {
		out.Files, out.Notes = result.Files, append(out.Notes, result.Notes...)
		for _, d := range result.State.Distributions {
			out.Distributions = append(out.Distributions, checkedSite{d.ID, d.Aliases, d.Viewer.SecurityPolicy, d.Enabled})
		}
	}
	if c.JSON {
		if err := writeJSON(e.out, out); err != nil {
			return err
		}
	} else {
		out.print(e)
	}
	if !out.OK {
		return quietError{exitUsage}
	}
	return nil
}

func (r checkResult) print(e *env) {
	for _, p := range r.Problems {
		fmt.Fprintln(e.err, p)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(e.out, "note:", n)
	}
	if !r.OK {
		fmt.Fprintf(e.err, "pqfront: %d problems in %d files\n", len(r.Problems), len(r.Files))
		return
	}
	for _, d := range r.Distributions {
		state := ""
		if !d.Enabled {
			state = " (disabled)"
		}
		name := d.ID
		if len(d.Aliases) > 0 {
			name += " " + d.Aliases[0]
		}
		fmt.Fprintf(e.out, "%s: %s%s\n", name, d.SecurityPolicy, state)
	}
	fmt.Fprintf(e.out, "ok: %d distributions in %d files\n", len(r.Distributions), len(r.Files))
}
