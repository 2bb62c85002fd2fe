package enforce

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
)

// TableName is the table's name in nftables' family inet. Package layout of onenode has it too.
const TableName = "perijove_policy"

// Writer writes tables. It is for one goroutine.
type Writer struct {
	nft   knftables.Interface
	node  policy.Node
	have  policy.Table
	valid bool // have is what the kernel has
}

// NewWriter returns a writer that has written nothing yet; its first Write replaces what another process has left.
func NewWriter(nft knftables.Interface, node policy.Node) *Writer {
	return &Writer{nft: nft, node: node}
}

// Write brings the kernel's table to what is wanted in one transaction: every packet meets the old rules or the new ones. It returns the number of operations.
// After a failure the old rules hold, and the next Write writes the whole table.
func (w *Writer) Write(ctx context.Context, want policy.Table) (int, error) {
	tx := w.nft.NewTransaction()
	have := w.have
	if !w.valid {
		have = policy.Table{}
		w.begin(tx)
	}
	addFrames(tx, have, want)
	if !w.valid {
		w.base(tx)
	}
	fillChains(tx, have, want)
	changeElements(tx, have, want)
	removeFrames(tx, have, want)
	if tx.NumOperations() == 0 {
		return 0, nil
	}
	w.valid = false
	if err := w.nft.Run(ctx, tx); err != nil {
		return 0, fmt.Errorf("write nftables: %w", err)
	}
	w.have, w.valid = want, true
	return tx.NumOperations(), nil
}

// Check sees to it that the next Write writes the whole table if a base chain is gone, as after `nft flush ruleset`.
func (w *Writer) Check(ctx context.Context) error {
	chains, err := w.nft.List(ctx, "chains")
	if err != nil && !knftables.IsNotFound(err) {
		return fmt.Errorf("list nftables: %w", err)
	}
	for _, chain := range policy.Base(w.node) {
		if !slices.Contains(chains, chain.Name) {
			w.valid = false
		}
	}
	return nil
}

// begin empties the table, whether it is there or not.
func (w *Writer) begin(tx *knftables.Transaction) {
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{})
}

func (w *Writer) base(tx *knftables.Transaction) {
	for _, chain := range policy.Base(w.node) {
		tx.Add(&knftables.Chain{
			Name: chain.Name, Type: knftables.PtrTo(knftables.FilterType), Hook: knftables.PtrTo(knftables.BaseChainHook(chain.Hook)),
			Priority: knftables.PtrTo(knftables.BaseChainPriority(fmt.Sprint(chain.Order))),
		})
		for _, rule := range chain.Rules {
			tx.Add(&knftables.Rule{Chain: chain.Name, Rule: rule})
		}
	}
}

// addFrames adds sets and chains that are new, still empty: rules and elements may name any of them.
func addFrames(tx *knftables.Transaction, have, want policy.Table) {
	for _, name := range slices.Sorted(maps.Keys(want.Sets)) {
		if _, there := have.Sets[name]; there {
			continue
		}
		set := want.Sets[name]
		var about *string
		if set.Comment != "" {
			about = &set.Comment
		}
		if set.Map() {
			tx.Add(&knftables.Map{Name: name, Type: set.Type, Comment: about})
		} else {
			tx.Add(&knftables.Set{Name: name, Type: set.Type, Comment: about})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.Chains)) {
		if _, there := have.Chains[name]; !there {
			tx.Add(&knftables.Chain{Name: name})
		}
	}
}

// fillChains writes chains whose rules are new or others, and empties those that are to go, so that nothing names what goes with them.
func fillChains(tx *knftables.Transaction, have, want policy.Table) {
	for _, name := range slices.Sorted(maps.Keys(have.Chains)) {
		if _, stays := want.Chains[name]; !stays {
			tx.Flush(&knftables.Chain{Name: name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.Chains)) {
		chain := want.Chains[name]
		before, there := have.Chains[name]
		texts := chain.Texts()
		if there && slices.Equal(before.Texts(), texts) {
			continue
		}
		if there {
			tx.Flush(&knftables.Chain{Name: name})
		}
		for _, text := range texts {
			tx.Add(&knftables.Rule{Chain: name, Rule: text})
		}
	}
}

func changeElements(tx *knftables.Transaction, have, want policy.Table) {
	for _, name := range slices.Sorted(maps.Keys(want.Sets)) {
		set, before := want.Sets[name], have.Sets[name].Elements
		for _, key := range slices.Sorted(maps.Keys(before)) {
			if value, stays := set.Elements[key]; !stays || value != before[key] {
				tx.Delete(element(name, set, key, before[key]))
			}
		}
		for _, key := range slices.Sorted(maps.Keys(set.Elements)) {
			if value, there := before[key]; !there || value != set.Elements[key] {
				tx.Add(element(name, set, key, set.Elements[key]))
			}
		}
	}
}

func element(name string, set policy.Set, key, value string) *knftables.Element {
	keys := strings.Split(key, " . ")
	if set.Map() {
		return &knftables.Element{Map: name, Key: keys, Value: []string{"goto " + value}}
	}
	return &knftables.Element{Set: name, Key: keys}
}

func removeFrames(tx *knftables.Transaction, have, want policy.Table) {
	for _, name := range slices.Sorted(maps.Keys(have.Chains)) {
		if _, stays := want.Chains[name]; !stays {
			tx.Delete(&knftables.Chain{Name: name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have.Sets)) {
		if _, stays := want.Sets[name]; !stays {
			tx.Delete(&knftables.Set{Name: name}) // the maps always stay
		}
	}
}
