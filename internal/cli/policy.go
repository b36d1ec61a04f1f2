package cli

import (
	"encoding/json"
	"errors"
	"io"

	"pqfront/internal/tlspolicy"
)

type policyCmd struct {
	List policyListCmd `cmd:"" help:"List all security policies, the strictest first."`
	Show policyShowCmd `cmd:"" help:"Show what one policy lets in, in server order."`
	Diff policyDiffCmd `cmd:"" help:"Show what changes from one policy to another."`
}

type policyListCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run lists the policies.
func (c *policyListCmd) Run(e *env) error {
	if c.JSON {
		return writeJSON(e.out, tlspolicy.List())
	}
	return tlspolicy.WriteList(e.out)
}

type policyShowCmd struct {
	Name string `arg:"" help:"The policy's name, as MinimumProtocolVersion has it: TLSv1.3_2025."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run shows one policy.
func (c *policyShowCmd) Run(e *env) error {
	p, err := tlspolicy.Lookup(c.Name)
	if err != nil {
		return usageError{err}
	}
	if c.JSON {
		return writeJSON(e.out, tlspolicy.Describe(p))
	}
	return tlspolicy.WriteShow(e.out, p)
}

type policyDiffCmd struct {
	A        string `arg:"" help:"The policy today."`
	B        string `arg:"" help:"The policy to compare with."`
	JSON     bool   `name:"json" help:"Print JSON."`
	ExitCode bool   `help:"Exit with 1 when they differ."`
}

// Run compares two policies.
func (c *policyDiffCmd) Run(e *env) error {
	a, errA := tlspolicy.Lookup(c.A)
	b, errB := tlspolicy.Lookup(c.B)
	if err := errors.Join(errA, errB); err != nil {
		return usageError{err}
	}
	diff := tlspolicy.Diff(a, b)
	var err error
	if c.JSON {
		err = writeJSON(e.out, diff)
	} else {
		err = tlspolicy.WriteDiff(e.out, a, b)
	}
	same := diff.Versions.Same() && diff.Suites.Same() && diff.Groups.Same() && diff.Schemes.Same()
	if err == nil && c.ExitCode && !same {
		return quietError{exitFailed}
	}
	return err
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
