package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/perijove/perijove/deploy/onenode/cleanup"
	"github.com/perijove/perijove/deploy/onenode/host"
	"github.com/perijove/perijove/deploy/onenode/supervise"
)

// down removes the node from the machine. Nothing is asked to end nicely: what it could save is removed next.
func (c command) down(context.Context) error {
	steps := newSteps(c.out)
	if _, err := os.Stat(c.layout.State); err == nil {
		lock, err := tryLock(c.layout.Lock())
		if err != nil {
			return err
		}
		defer lock.Close()
	}
	// The ledger is written before anything outside the state folder is made. Without one, a bridge or cgroup of our name is another state folder's.
	_, err := os.Stat(c.layout.Ledger())
	changed := err == nil
	if err := cleanup.KillAll(c.layout, changed); err != nil {
		return err
	}
	if !changed {
		steps.say("nothing was started from %s", c.layout.State)
		return os.RemoveAll(c.layout.State)
	}
	steps.say("processes are gone")
	ledger, known, err := host.ReadLedger(c.layout.Ledger())
	if err != nil {
		return err
	}
	found, err := cleanup.Look(c.layout, ledger)
	if err != nil {
		return err
	}
	if err := cleanup.Do(cleanup.Make(c.layout, found, ledger, known)); err != nil {
		return fmt.Errorf("not everything could be removed; `onenode down` can be run again:\n%w", err)
	}
	steps.say("mounts, network, rules, cgroups and files are gone; builds stay in %s", c.layout.Cache)
	return nil
}

// status prints the parts; an error means that the node does not work.
func (c command) status(ctx context.Context) error {
	status, err := supervise.Ask(ctx, c.layout.ControlSocket())
	if err != nil {
		return errors.New("the node is not up (no supervisor answers): start it with `onenode up`")
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PART\tSTATE\tPID\tUP\tRESTARTS\tLOG\tPROBLEM")
	fmt.Fprintf(table, "onenode\trunning\t%d\t\t\t%s\t\n", status.PID, c.layout.LogFile("onenode"))
	for _, part := range status.Parts {
		up := ""
		if part.PID != 0 {
			up = time.Since(part.Since).Round(time.Second).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%d\t%s\t%s\n", part.Name, part.State, part.PID, up, part.Restarts, c.layout.LogFile(part.Name), part.Problem)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if !status.Ready() {
		return errors.New("a part does not work; read its log, or run `onenode up`")
	}
	return nil
}
