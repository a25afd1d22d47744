def run(kit, attempt): pass
