"""placeholder until the measures land"""
import jax
import jax.numpy as jnp

def dis_acc(real_logits, fake_logits):
    return 0.5 * (jnp.mean(jax.nn.sigmoid(real_logits)) + 1.0 - jnp.mean(jax.nn.sigmoid(fake_logits)))

def gan_acc(fake_logits):
    return jnp.mean(jax.nn.sigmoid(fake_logits))

def balance_warning(dis, gan):
    return None
