package web

import (
	"fmt"
	"html/template"
	"reflect"
	tree "text/template/parse"
)

// constant are the template functions that give the same for the same arguments, as long as the
// program runs.
func constant() []string {
	return []string{"t", "lang", "asset", "home", "admin", "logout", "tokens", "sessions", "xsrf"}
}

// fold writes what constant functions of constant arguments give into t as text: a page shows
// dozens of them, and calling them is most of what showing the login page takes. The text is
// escaped here as html/template would; that is enough where HTML's own rules hold, which is
// everywhere in our pages, since they have no scripts and styles inside.
func fold(t *template.Template, funcs template.FuncMap) {
	known := map[string]reflect.Value{}
	for _, name := range constant() {
		known[name] = reflect.ValueOf(funcs[name])
	}
	for _, each := range t.Templates() {
		if each.Tree != nil {
			foldList(each.Tree.Root, known)
		}
	}
}

func foldList(list *tree.ListNode, known map[string]reflect.Value) {
	if list == nil {
		return
	}
	for i, node := range list.Nodes {
		switch n := node.(type) {
		case *tree.ActionNode:
			if text, ok := call(n.Pipe, known); ok {
				list.Nodes[i] = &tree.TextNode{NodeType: tree.NodeText, Pos: n.Pos, Text: []byte(template.HTMLEscapeString(text))}
			}
		case *tree.IfNode:
			foldList(n.List, known)
			foldList(n.ElseList, known)
		case *tree.RangeNode:
			foldList(n.List, known)
			foldList(n.ElseList, known)
		case *tree.WithNode:
			foldList(n.List, known)
			foldList(n.ElseList, known)
		}
	}
}

// call is what {{name "text"...}} shows; ok is false for anything else.
func call(pipe *tree.PipeNode, known map[string]reflect.Value) (text string, ok bool) {
	if len(pipe.Cmds) != 1 || len(pipe.Decl) > 0 {
		return "", false
	}
	name, ok := pipe.Cmds[0].Args[0].(*tree.IdentifierNode)
	if !ok || !known[name.Ident].IsValid() {
		return "", false
	}
	var args []reflect.Value
	for _, arg := range pipe.Cmds[0].Args[1:] {
		s, ok := arg.(*tree.StringNode)
		if !ok {
			return "", false
		}
		args = append(args, reflect.ValueOf(s.Text))
	}
	return fmt.Sprint(known[name.Ident].Call(args)[0].Interface()), true
}
